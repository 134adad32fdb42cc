#include "watch/alert.h"

const char *sg_reason_name(sg_reason reason)
{
    static const char *const names[SG_REASONS] = {"sequence",      "unknown_prefix", "unknown_type", "stray",
                                                  "source_change", "tag_change",     "flood",        "scan",
                                                  "enumeration",   "guessing",       "half_open"};
    return (unsigned)reason < SG_REASONS ? names[reason] : "?";
}

const sg_endpoint *sg_alert_blamed(const sg_alert *alert)
{
    return alert->source ? &alert->source->address : &alert->flow.source;
}

const char *sg_alert_protocol(const sg_alert *alert)
{
    switch (alert->flow.transport) {
    case SG_TRANSPORT_UDP:
        return "UDP";
    case SG_TRANSPORT_SCTP:
        return "SCTP";
    default:
        return "TCP";
    }
}
