"""The trials of every detector that has some, by its id."""

from schemas.samples import (
    trials_answers,
    trials_bills,
    trials_days,
    trials_gaps,
    trials_health,
    trials_hours,
    trials_keys,
    trials_leaks,
    trials_loops,
    trials_storms,
    trials_tenants,
    trials_thieves,
    trials_tools,
    trials_young,
)
from schemas.samples.trials import Trial

TRIALS: dict[str, Trial] = {
    **trials_keys.TRIALS,
    **trials_bills.TRIALS,
    **trials_days.TRIALS,
    **trials_hours.TRIALS,
    **trials_health.TRIALS,
    **trials_tools.TRIALS,
    **trials_gaps.TRIALS,
    **trials_leaks.TRIALS,
    **trials_tenants.TRIALS,
    **trials_answers.TRIALS,
    **trials_loops.TRIALS,
    **trials_storms.TRIALS,
    **trials_thieves.TRIALS,
    **trials_young.TRIALS,
}
