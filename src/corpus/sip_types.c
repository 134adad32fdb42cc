#include "corpus/sip_model.h"

#include <string.h>

const char *sg_sip_type_name(sg_sip_type type)
{
    static const char *const names[SG_SIP_TYPES] = {
#define NAME(name, rank) #name,
        SG_SIP_TYPE_LIST(NAME)
#undef NAME
    };
    return type < SG_SIP_TYPES ? names[type] : "?";
}

static const sg_sip_type by_rank[SG_SIP_TYPES] = {
#define RANK(name, rank) [rank] = SG_SIP_##name,
    SG_SIP_TYPE_LIST(RANK)
#undef RANK
};

void sg_sip_model_open(sg_sip_model *model, const sg_sip_rates *rates, int message_types, int max_length)
{
    memset(model, 0, sizeof *model);
    model->rates = *rates;
    model->max_length = max_length;
    model->message_types = message_types;
    for (int k = 0; k < message_types; k++)
        model->id[by_rank[k]] = 1;
    uint16_t next = 1;
    for (int type = 0; type < SG_SIP_TYPES; type++)
        if (model->id[type])
            model->id[type] = next++;
}
