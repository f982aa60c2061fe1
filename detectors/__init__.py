"""Everything we can detect. Adding a detector is one file and one line here."""

from detectors.base import Channel, Detector, Verdict, Window
from detectors.cache_collapse import CacheCollapse
from detectors.cache_timing_probe import CacheTimingProbe
from detectors.canary_key import CanaryKey
from detectors.duplicate_side_effect import DuplicateSideEffect
from detectors.echoed_response import EchoedResponse
from detectors.exfil_footprint import ExfilFootprint
from detectors.fallback_drift import FallbackDrift
from detectors.first_touch_burn import FirstTouchBurn
from detectors.foreign_resource import ForeignResource
from detectors.key_beacon import KeyBeacon
from detectors.key_probe import KeyProbe
from detectors.leaked_canary import LeakedCanary
from detectors.logging_tamper import LoggingTamper
from detectors.longer_hours import LongerHours
from detectors.model_rotation import ModelRotation
from detectors.model_sweep import ModelSweep
from detectors.new_origin import NewOrigin
from detectors.one_origin_many_keys import OneOriginManyKeys
from detectors.pool_saturation import PoolSaturation
from detectors.rate_limit_storm import RateLimitStorm
from detectors.repeated_call import RepeatedCall
from detectors.resource_enumeration import ResourceEnumeration
from detectors.revoked_key import RevokedKey
from detectors.runaway_session import RunawaySession
from detectors.second_user import SecondUser
from detectors.shared_cache import SharedCache
from detectors.shared_key import SharedKey
from detectors.shared_session import SharedSession
from detectors.slow_first_token import SlowFirstToken
from detectors.stolen_key_spend import StolenKeySpend
from detectors.stubborn_retry import StubbornRetry
from detectors.thundering_herd import ThunderingHerd
from detectors.tool_drift import ToolDrift
from detectors.tool_truncation import ToolTruncation
from detectors.toolset_change import ToolsetChange
from detectors.unexplained_input import UnexplainedInput
from detectors.unlike_tenant import UnlikeTenant
from detectors.unmetered_usage import UnmeteredUsage
from detectors.usage_gap import UsageGap
from detectors.vendor_drift import VendorDrift
from detectors.wasted_tokens import WastedTokens

CATALOG: tuple[type[Detector], ...] = (
    # llmjacking
    KeyProbe,
    ModelSweep,
    StolenKeySpend,
    NewOrigin,
    KeyBeacon,
    SecondUser,
    LongerHours,
    SharedKey,
    OneOriginManyKeys,
    UnlikeTenant,
    CanaryKey,
    RevokedKey,
    LoggingTamper,
    UnmeteredUsage,
    # cross-tenant
    ForeignResource,
    SharedSession,
    SharedCache,
    LeakedCanary,
    EchoedResponse,
    ResourceEnumeration,
    CacheTimingProbe,
    ToolsetChange,
    UnexplainedInput,
    ExfilFootprint,
    # retry-storm
    RateLimitStorm,
    RepeatedCall,
    DuplicateSideEffect,
    RunawaySession,
    StubbornRetry,
    ThunderingHerd,
    WastedTokens,
    PoolSaturation,
    # health: never wakes anyone
    CacheCollapse,
    FallbackDrift,
    SlowFirstToken,
    ToolTruncation,
    ToolDrift,
    FirstTouchBurn,
    ModelRotation,
    VendorDrift,
    UsageGap,
)

__all__ = ["CATALOG", "Channel", "Detector", "Verdict", "Window"]
