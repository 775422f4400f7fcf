"""The audits: the one list of them, in the order of reports."""

from __future__ import annotations

from lungsight.evaluation.audits import (
    corners_and_borders,
    image_statistics_only,
    leave_one_source_out,
    localization,
    nuisance_edits,
    occlusion,
    robustness,
    saliency_sanity_check,
    source_identity,
    source_probe,
    within_view,
)
from lungsight.evaluation.audits.audit import AuditSpec

#: To add an audit, write its file and name its ``SPEC`` here.
AUDITS: tuple[AuditSpec, ...] = (
    occlusion.LUNGS_HIDDEN,
    occlusion.ONLY_BORDER,
    occlusion.ONLY_LUNGS,
    nuisance_edits.SPEC,
    robustness.SPEC,
    localization.SPEC,
    saliency_sanity_check.SPEC,
    image_statistics_only.SPEC,
    within_view.SPEC,
    source_probe.SPEC,
    source_identity.SPEC,
    leave_one_source_out.SPEC,
    corners_and_borders.SPEC,
)
