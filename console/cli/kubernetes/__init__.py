"""What `homeport doctor --cluster` knows of Kubernetes."""
