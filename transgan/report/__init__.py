"""Report: tables, figures and where every number came from."""
