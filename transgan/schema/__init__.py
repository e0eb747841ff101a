"""Configuration classes (pydantic): what params.yaml may contain. `transgan.config` reads and resolves it."""

from transgan.schema.data import DatasetConfig, Split
from transgan.schema.model import (
    BandStep,
    Blocks,
    DiscriminatorConfig,
    DiscriminatorStage,
    GeneratorConfig,
    GeneratorStage,
    ModelConfig,
    TransformerDiscriminator,
    TransformerGenerator,
)
from transgan.schema.params import Changes, ExecutionConfig, Params, RunConfig, Scale
from transgan.schema.protocol import ClassifierConfig, ProtocolConfig, PublishedStatistics
from transgan.schema.recipe import DynamicsConfig, EmaConfig, OptimizerConfig, RecipeConfig, Regularizer
from transgan.schema.report import Column, FigureConfig, Row, TableConfig

__all__ = [
    "BandStep",
    "Blocks",
    "Changes",
    "ClassifierConfig",
    "Column",
    "DatasetConfig",
    "DiscriminatorConfig",
    "DiscriminatorStage",
    "DynamicsConfig",
    "EmaConfig",
    "ExecutionConfig",
    "FigureConfig",
    "GeneratorConfig",
    "GeneratorStage",
    "ModelConfig",
    "OptimizerConfig",
    "Params",
    "ProtocolConfig",
    "PublishedStatistics",
    "RecipeConfig",
    "Regularizer",
    "Row",
    "RunConfig",
    "Scale",
    "Split",
    "TableConfig",
    "TransformerDiscriminator",
    "TransformerGenerator",
]
