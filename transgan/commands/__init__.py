"""What the commands that only look and tidy print: plan, data, doctor, clean, summary."""
