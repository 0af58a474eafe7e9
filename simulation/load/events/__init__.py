"""Events in place of calls for a home: users publish, rules decide, platforms perform."""
