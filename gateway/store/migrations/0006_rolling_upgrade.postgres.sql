-- The oldest version whose gateways may use this database; they learn to look for it with this step.
ALTER TABLE gateway_schema ADD COLUMN usable_from BIGINT;
