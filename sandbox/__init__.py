"""A whole world on one machine: embedded stores, a simulated Salesforce, every process of the Procfile."""
