-- Who paid most in a day or a month, the best first: the Top 10 of a long period reads the heads of these lists instead of every
-- customer's sums (2 s for ten million payments). The worker writes to them once a day.
SET lock_timeout = '5s';

CREATE INDEX customer_day_best ON customer_day (project_id, source, since, amount DESC);
CREATE INDEX customer_month_best ON customer_month (project_id, source, since, amount DESC);
