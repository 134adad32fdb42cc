#include "capture/counts.h"

static const char *const names[] = {
#define COUNT_NAME(NAME, name, text) #name,
    SG_COUNTS(COUNT_NAME)
#undef COUNT_NAME
};

static const char *const texts[] = {
#define COUNT_TEXT(NAME, name, text) text,
    SG_COUNTS(COUNT_TEXT)
#undef COUNT_TEXT
};

const char *sg_count_name(sg_count count)
{
    return (unsigned)count < SG_COUNT_NUMBER ? names[count] : "unknown";
}

const char *sg_count_text(sg_count count)
{
    return (unsigned)count < SG_COUNT_NUMBER ? texts[count] : "unknown";
}
