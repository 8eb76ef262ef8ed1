"""Where the rules of blueprints/checks get their facts: the records, the machine, what runs. Reads; changes nothing that it is not asked to."""
