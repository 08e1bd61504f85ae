-- Today's work: a task comes in, in one of the first ten departments.
SELECT demo.insert_today(1);
