-- One row for each decided case: its latest observation up to that day, and the outcome.
-- Athena's dialect; :name marks a parameter of config/data.yml, which is bound, never formatted in.
WITH ranked AS (
  SELECT
    observations.*,
    outcomes.outcome,
    row_number() OVER (
      PARTITION BY observations.record_id ORDER BY observations.observed_on DESC
    ) AS recency
  FROM observations
  JOIN outcomes ON outcomes.record_id = observations.record_id
  WHERE observations.observed_on <= outcomes.decided_on
    AND outcomes.decided_on >= CAST(:from_date AS date)
)
SELECT
  {{ cookiecutter.__sample_columns }},
  outcome AS "{{ cookiecutter.target_column }}"
FROM ranked
WHERE recency = 1
