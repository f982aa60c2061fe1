"""Everything we can detect. Adding a detector is one file and one line here."""

from detectors.base import Channel, Detector, Verdict, Window
from detectors.duplicate_side_effect import DuplicateSideEffect
from detectors.foreign_resource import ForeignResource
from detectors.key_probe import KeyProbe
from detectors.model_sweep import ModelSweep
from detectors.new_origin import NewOrigin
from detectors.rate_limit_storm import RateLimitStorm
from detectors.repeated_call import RepeatedCall
from detectors.runaway_session import RunawaySession
from detectors.shared_session import SharedSession
from detectors.stolen_key_spend import StolenKeySpend

CATALOG: tuple[type[Detector], ...] = (
    # llmjacking
    KeyProbe,
    ModelSweep,
    StolenKeySpend,
    NewOrigin,
    # cross-tenant
    ForeignResource,
    SharedSession,
    # retry-storm
    RateLimitStorm,
    RepeatedCall,
    DuplicateSideEffect,
    RunawaySession,
)

__all__ = ["CATALOG", "Channel", "Detector", "Verdict", "Window"]
