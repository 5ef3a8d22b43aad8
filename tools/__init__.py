"""What authors and ``make`` run: chapters executed, guarded, compared, collected in the ledger."""
