"""The project's pipeline: its graph, its definition, and what runs it here and on SageMaker."""
