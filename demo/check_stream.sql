\set id random(1, 2000000)
UPDATE task SET hours = hours + 0.01 WHERE id = :id;
