#include "corpus/sip_model.h"

#include <string.h>

const char *sg_sip_type_name(sg_sip_type type)
{
    static const char *const names[SG_SIP_TYPES] = {
        "INVITE",  "ACK",     "BYE",   "CANCEL", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY",
        "100",     "180",     "183",   "200",    "401",      "407",     "404",       "480",
        "486",     "487",     "408",   "302",    "500",      "503",     "403",       "488",
        "603",     "600",     "481",   "491",    "202",      "REFER",   "INFO",      "UPDATE",
        "MESSAGE", "PUBLISH", "PRACK", "423",    "422",      "420",     "182",       "181",
    };
    return type < SG_SIP_TYPES ? names[type] : "?";
}

/* From the indispensable to the exotic.  A type follows those that its shortest flow needs, so every prefix
 * of two or more is an alphabet in which every type can occur. */
static const sg_sip_type usefulness[SG_SIP_TYPES] = {
    SG_SIP_OPTIONS,
    SG_SIP_200,
    SG_SIP_REGISTER,
    SG_SIP_401,
    SG_SIP_NOTIFY,
    SG_SIP_SUBSCRIBE,
    SG_SIP_INVITE,
    SG_SIP_ACK,
    SG_SIP_BYE,
    SG_SIP_100,
    SG_SIP_180,
    SG_SIP_486,
    SG_SIP_CANCEL,
    SG_SIP_487,
    SG_SIP_407,
    SG_SIP_404,
    SG_SIP_480,
    SG_SIP_183,
    /* preset paper ends here */
    SG_SIP_408,
    SG_SIP_302,
    SG_SIP_500,
    SG_SIP_503,
    SG_SIP_403,
    SG_SIP_488,
    SG_SIP_603,
    SG_SIP_481,
    SG_SIP_491,
    SG_SIP_202,
    SG_SIP_REFER,
    SG_SIP_INFO,
    SG_SIP_UPDATE,
    SG_SIP_MESSAGE,
    SG_SIP_PUBLISH,
    SG_SIP_PRACK,
    SG_SIP_423,
    SG_SIP_422,
    SG_SIP_420,
    SG_SIP_182,
    SG_SIP_181,
    SG_SIP_600,
};

void sg_sip_model_open(sg_sip_model *model, const sg_sip_rates *rates, int message_types, int max_length)
{
    memset(model, 0, sizeof *model);
    model->rates = *rates;
    model->max_length = max_length;
    model->message_types = message_types;
    for (int k = 0; k < message_types; k++)
        model->id[usefulness[k]] = 1;
    uint16_t next = 1;
    for (int type = 0; type < SG_SIP_TYPES; type++)
        if (model->id[type])
            model->id[type] = next++;
}
