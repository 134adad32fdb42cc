#include "sip/alphabet.h"
#include "watch/alert_forms.h"

#include <inttypes.h>
#include <math.h>

#define FLOW_ID_MASK   ((UINT64_C(1) << 53) - 1) /* integers that a double holds */
#define SCHEMA_VERSION 1

/* `,"name":"text"`; whether nothing was cut. */
static bool put_text(sg_line *line, const char *name, sg_text text, uint32_t cap)
{
    sg_line_print(line, ",\"%s\":", name);
    return sg_line_json(line, text, cap);
}

static void put_value(sg_line *line, bool there, double value)
{
    if (there && isfinite(value))
        sg_line_print(line, "%.10g", value);
    else
        sg_line_put(line, "null");
}

/* `,"name":number`, null if there is none. */
static void put_number(sg_line *line, const char *name, bool there, double value)
{
    sg_line_print(line, ",\"%s\":", name);
    put_value(line, there, value);
}

static void put_count(sg_line *line, const char *name, uint64_t value)
{
    sg_line_print(line, ",\"%s\":%" PRIu64, name, value);
}

static void put_end(sg_line *line, const char *side, const sg_endpoint *endpoint)
{
    sg_line_print(line, ",\"%s_ip\":", side);
    if (endpoint->family) {
        sg_line_put(line, "\"");
        sg_line_address(line, endpoint);
        sg_line_put(line, "\"");
    } else {
        sg_line_put(line, "null");
    }
    sg_line_print(line, ",\"%s_port\":%u", side, endpoint->port);
}

static void put_sip(sg_line *line, const sg_alert *alert)
{
    sg_line_put(line, ",\"sip\":{\"call_id\":");
    bool whole = sg_line_json(line, alert->call_id, SG_CAP_CALL_ID) && !alert->call_id_cut;
    whole &= put_text(line, "from_tag", alert->from_tag, SG_CAP_TAG);
    whole &= put_text(line, "to_tag", alert->to_tag, SG_CAP_TAG);
    sg_line_put(line, ",\"seq\":[");
    int first = alert->seq_length > SG_CAP_SEQUENCE ? alert->seq_length - SG_CAP_SEQUENCE : 0;
    for (int i = first; i < alert->seq_length; i++) {
        sg_line_put(line, i > first ? "," : "");
        whole &= sg_line_json(line, sg_text_of(alert->seq[i]), SG_TYPE_NAME - 1);
    }
    sg_line_put(line, "]");
    whole &= put_text(line, "last", alert->last, SG_CAP_TYPE);
    sg_line_put(line, whole && first == 0 ? "}" : ",\"truncated\":true}");
}

static void put_anomaly(sg_line *line, const sg_alert *alert, const char *model)
{
    bool scored = alert->scored;
    sg_line_put(line, ",\"anomaly\":{\"model\":");
    sg_line_json(line, sg_text_of(model), SG_CAP_MODEL);
    sg_line_print(line, ",\"reason\":\"%s\"", sg_reason_name(alert->reason));
    put_number(line, "score", scored, alert->score);
    put_number(line, "skewness", scored, alert->skewness);
    put_number(line, "kurtosis", scored, alert->kurtosis);
    sg_line_put(line, ",\"threshold\":{\"skewness\":");
    put_value(line, scored, alert->skewness_limit);
    put_number(line, "kurtosis", scored, alert->kurtosis_limit);
    sg_line_put(line, "}");
    put_number(line, "position", alert->position > 0, alert->position);
    sg_line_put(line, alert->known_prefix ? ",\"known_prefix\":true" : ",\"known_prefix\":false");
    sg_line_put(line, ",\"verdict\":\"abnormal\"}");
}

static void put_source(sg_line *line, const sg_source *source)
{
    sg_line_put(line, ",\"source\":{\"ip\":\"");
    sg_line_address(line, &source->address);
    sg_line_put(line, "\",\"first\":\"");
    sg_line_time(line, source->first_us);
    sg_line_put(line, "\",\"last\":\"");
    sg_line_time(line, source->last_us);
    sg_line_put(line, "\"");
    put_count(line, "requests", source->requests);
    put_count(line, "responses", source->responses);
    put_count(line, "rate", source->rate);
    put_count(line, "call_ids", source->call_ids);
    put_count(line, "users", source->users);
    put_count(line, "targets", source->targets);
    put_count(line, "failures", source->failures);
    put_count(line, "refusals", source->refusals);
    put_count(line, "successes", source->successes);
    put_count(line, "invites", source->invites);
    put_count(line, "acks", source->acks);
    sg_line_put(line, "}");
}

void sg_alert_eve(sg_line *line, const sg_alert *alert, const char *model)
{
    sg_line_put(line, "{\"timestamp\":\"");
    sg_line_time(line, alert->time_us);
    sg_line_put(line, "\"");
    put_count(line, "flow_id", alert->flow_id & FLOW_ID_MASK);
    sg_line_put(line, ",\"event_type\":\"anomaly\"");
    put_end(line, "src", &alert->flow.source);
    put_end(line, "dest", &alert->flow.destination);
    sg_line_print(line, ",\"proto\":\"%s\"", sg_alert_protocol(alert));
    put_sip(line, alert);
    put_anomaly(line, alert, model);
    if (alert->source)
        put_source(line, alert->source);
    sg_line_print(line, ",\"schema_version\":%d}\n", SCHEMA_VERSION);
}
