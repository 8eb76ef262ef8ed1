"""Looking at what is there already, before anything is deployed: an existing database, Redis or object storage, and what is known to bite."""
