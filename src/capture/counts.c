#include "capture/counts.h"

static const char *const names[] = {
#define X(NAME, name, text) #name,
#include "capture/counts.def"
#undef X
};

static const char *const texts[] = {
#define X(NAME, name, text) text,
#include "capture/counts.def"
#undef X
};

const char *sg_count_name(sg_count count)
{
    return (unsigned)count < SG_COUNT_NUMBER ? names[count] : "unknown";
}

const char *sg_count_text(sg_count count)
{
    return (unsigned)count < SG_COUNT_NUMBER ? texts[count] : "unknown";
}
