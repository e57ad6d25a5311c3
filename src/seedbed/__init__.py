"""Project templates for governed machine learning on Amazon SageMaker."""
