#include "sip/alphabet.h"

#include "base/memory.h"
#include "sip/text.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Classes that types fold to. */
enum {
    FOLD_METHOD,
    FOLD_OTHER,
    FOLD_1XX, /* to 6xx */
    FOLDS = FOLD_1XX + 6
};

static const char *const fold_names[FOLDS] = {"OTHER-method", "OTHER",     "1xx-other", "2xx-other",
                                              "3xx-other",    "4xx-other", "5xx-other", "6xx-other"};

struct sg_alphabet {
    sg_type_rule rule;
    int size;
    char (*text)[SG_TYPE_NAME];
    const char **names;
    uint16_t *slots; /* open addressing by name: ids, 0 is empty; at most half full */
    uint32_t mask;
    uint16_t folds[FOLDS]; /* ids, 0 where the alphabet has no such name */
    uint16_t methods[SG_METHODS];
    uint16_t codes[1000]; /* rule paper */
};

const char *sg_type_rule_name(sg_type_rule rule)
{
    return rule == SG_RULE_CSEQ ? "cseq/1" : "paper/1";
}

bool sg_type_rule_parse(const char *text, sg_type_rule *rule)
{
    bool cseq = strcmp(text, "cseq") == 0 || strcmp(text, "cseq/1") == 0;
    *rule = cseq ? SG_RULE_CSEQ : SG_RULE_PAPER;
    return cseq || strcmp(text, "paper") == 0 || strcmp(text, "paper/1") == 0;
}

/* The code that a name begins with, or -1. */
static int leading_code(const char *name)
{
    int code = 0;
    for (int n = 0; n < 3; n++) {
        if (name[n] < '0' || name[n] > '9')
            return -1;
        code = code * 10 + name[n] - '0';
    }
    return name[3] == '\0' || name[3] == '-' ? code : -1;
}

bool sg_type_name(const sg_sip_message *message, sg_type_rule rule, char name[SG_TYPE_NAME])
{
    size_t at = 0;
    name[0] = '\0';
    if (message->response) {
        if (message->code == 0)
            return false;
        name[0] = (char)('0' + message->code / 100);
        name[1] = (char)('0' + message->code / 10 % 10);
        name[2] = (char)('0' + message->code % 10);
        name[3] = rule == SG_RULE_CSEQ ? '-' : '\0';
        at = rule == SG_RULE_CSEQ ? 4 : 3;
        if (rule == SG_RULE_PAPER)
            return true;
    }
    bool fits = message->method != SG_METHOD_NONE && at + message->method_name.length < SG_TYPE_NAME;
    if (fits) {
        memcpy(name + at, message->method_name.data, message->method_name.length);
        name[at + message->method_name.length] = '\0';
        /* "200" is a token, and so can be a method; it must not pass for a response. */
        fits = message->response || leading_code(name) < 0;
    }
    name[0] = fits ? name[0] : '\0';
    return fits;
}

/* The slot that holds a name, or the empty one where it belongs. */
static uint32_t find_slot(const sg_alphabet *alphabet, const char *name)
{
    uint32_t at = (uint32_t)XXH3_64bits(name, strlen(name)) & alphabet->mask;
    while (alphabet->slots[at] && strcmp(alphabet->text[alphabet->slots[at] - 1], name) != 0)
        at = (at + 1) & alphabet->mask;
    return at;
}

static sg_status add_names(sg_alphabet *alphabet, const char *const *names)
{
    for (int n = 0; n < alphabet->size; n++) {
        size_t length = strlen(names[n]);
        if (length == 0 || length >= SG_TYPE_NAME)
            return sg_fail(SG_E_FORMAT, "name %d of the alphabet has %zu bytes instead of 1 to %d", n + 1,
                           length, SG_TYPE_NAME - 1);
        uint32_t slot = find_slot(alphabet, names[n]);
        if (alphabet->slots[slot])
            return sg_fail(SG_E_FORMAT, "the alphabet holds '%s' twice", names[n]);
        memcpy(alphabet->text[n], names[n], length + 1);
        alphabet->names[n] = alphabet->text[n];
        alphabet->slots[slot] = (uint16_t)(n + 1);
    }
    return SG_OK;
}

static uint16_t exact_id(const sg_alphabet *alphabet, const char *name)
{
    return alphabet->slots[find_slot(alphabet, name)];
}

/* The short ways to what is asked for most. */
static void fill_tables(sg_alphabet *alphabet)
{
    char name[4] = "000";
    for (int n = 0; n < FOLDS; n++)
        alphabet->folds[n] = exact_id(alphabet, fold_names[n]);
    for (int n = SG_METHOD_OTHER + 1; n < SG_METHODS; n++)
        alphabet->methods[n] = exact_id(alphabet, sg_sip_method_name(n));
    for (int code = 0; code < 1000 && alphabet->rule == SG_RULE_PAPER; code++) {
        name[0] = (char)('0' + code / 100);
        name[1] = (char)('0' + code / 10 % 10);
        name[2] = (char)('0' + code % 10);
        alphabet->codes[code] = exact_id(alphabet, name);
    }
}

sg_status sg_alphabet_open(sg_alphabet **out, sg_type_rule rule, const char *const *names, int count)
{
    sg_alphabet *alphabet;
    sg_status status;
    *out = NULL;
    if (count < 1 || count > SG_TYPES_MAX)
        return sg_fail(SG_E_FORMAT, "an alphabet of %d names; 1 to %d are possible", count, SG_TYPES_MAX);
    SG_TRY(sg_alloc(&alphabet, 1, "alphabet"));
    alphabet->rule = rule;
    alphabet->size = count;
    alphabet->mask = 31;
    while (alphabet->mask < 2 * (uint32_t)count)
        alphabet->mask = alphabet->mask * 2 + 1;
    SG_TRY_GOTO(status, failed, sg_alloc(&alphabet->text, count, "alphabet"));
    SG_TRY_GOTO(status, failed, sg_alloc(&alphabet->names, count, "alphabet"));
    SG_TRY_GOTO(status, failed, sg_alloc(&alphabet->slots, alphabet->mask + 1, "alphabet"));
    SG_TRY_GOTO(status, failed, add_names(alphabet, names));
    fill_tables(alphabet);
    *out = alphabet;
    return SG_OK;
failed:
    sg_alphabet_close(alphabet);
    return status;
}

void sg_alphabet_close(sg_alphabet *alphabet)
{
    if (!alphabet)
        return;
    free(alphabet->text);
    free(alphabet->names);
    free(alphabet->slots);
    free(alphabet);
}

/* code -1: a request. */
static uint16_t fold(const sg_alphabet *alphabet, int code, sg_fold_counts *counts)
{
    int class = code < 0 ? FOLD_METHOD : FOLD_1XX + code / 100 - 1;
    uint16_t id = 0;
    if (code < 0 || (code >= 100 && code <= 699))
        id = alphabet->folds[class];
    if (id) {
        *(code < 0 ? &counts->folded_method : &counts->folded_class) += 1;
        return id;
    }
    id = alphabet->folds[FOLD_OTHER];
    *(id ? &counts->folded_other : &counts->unknown) += 1;
    return id;
}

uint16_t sg_alphabet_id(const sg_alphabet *alphabet, const sg_sip_message *message, sg_fold_counts *counts)
{
    sg_fold_counts ignored = {0};
    char name[SG_TYPE_NAME];
    uint16_t id = 0;
    counts = counts ? counts : &ignored;
    if (!message->response && message->method > SG_METHOD_OTHER)
        id = alphabet->methods[message->method];
    else if (message->response && alphabet->rule == SG_RULE_PAPER)
        id = message->code ? alphabet->codes[message->code] : 0;
    else if (sg_type_name(message, alphabet->rule, name))
        id = exact_id(alphabet, name);
    if (id == 0)
        return fold(alphabet, message->response ? message->code : -1, counts);
    counts->exact++;
    return id;
}

uint16_t sg_alphabet_id_of_name(const sg_alphabet *alphabet, const char *name)
{
    sg_fold_counts ignored = {0};
    uint16_t id = exact_id(alphabet, name);
    return id ? id : fold(alphabet, leading_code(name), &ignored);
}

int sg_alphabet_size(const sg_alphabet *alphabet)
{
    return alphabet->size;
}

sg_type_rule sg_alphabet_rule(const sg_alphabet *alphabet)
{
    return alphabet->rule;
}

const char *sg_alphabet_name(const sg_alphabet *alphabet, int id)
{
    return id >= 1 && id <= alphabet->size ? alphabet->names[id - 1] : "?";
}

/* ---- Census ---- */

struct sg_census {
    sg_type_rule rule;
    int size, max;
    char (*text)[SG_TYPE_NAME]; /* [size], of number n at n - 1 */
    uint64_t *count;            /* [size + 1], by number */
    size_t slot_count;
    uint16_t *slots;                   /* open addressing: numbers, 0 is empty; at most half full */
    uint16_t known[1000 + SG_METHODS]; /* numbers of codes and then of methods, the short way to them */
};

sg_status sg_census_open(sg_census **out, sg_type_rule rule, int types_max)
{
    sg_census *census;
    *out = NULL;
    if (types_max < 1 || types_max > SG_TYPES_MAX)
        return sg_fail(SG_E_CONFIG, "a census of %d types; 1 to %d are possible", types_max, SG_TYPES_MAX);
    SG_TRY(sg_alloc(&census, 1, "census"));
    census->rule = rule;
    census->max = types_max;
    census->slot_count = 32;
    while (census->slot_count < 2 * (size_t)types_max)
        census->slot_count *= 2;
    sg_status status = sg_alloc(&census->slots, census->slot_count, "census");
    if (status == SG_OK)
        status = sg_alloc(&census->text, types_max, "census");
    if (status == SG_OK)
        status = sg_alloc(&census->count, (size_t)types_max + 1, "census");
    if (status != SG_OK)
        sg_census_close(census);
    else
        *out = census;
    return status;
}

void sg_census_close(sg_census *census)
{
    if (!census)
        return;
    free(census->text);
    free(census->count);
    free(census->slots);
    free(census);
}

/* The number of a name, which is added while there is room; 0 beyond. */
static uint16_t census_number(sg_census *census, const char *name)
{
    size_t mask = census->slot_count - 1, at = XXH3_64bits(name, strlen(name)) & mask;
    while (census->slots[at] && strcmp(census->text[census->slots[at] - 1], name) != 0)
        at = (at + 1) & mask;
    if (!census->slots[at] && census->size < census->max) {
        strcpy(census->text[census->size++], name);
        census->slots[at] = (uint16_t)census->size;
    }
    return census->slots[at];
}

uint16_t sg_census_add(sg_census *census, const sg_sip_message *message)
{
    char name[SG_TYPE_NAME];
    int place = -1;
    if (!message->response && message->method > SG_METHOD_OTHER)
        place = 1000 + (int)message->method;
    else if (message->response && census->rule == SG_RULE_PAPER && message->code)
        place = message->code;
    uint16_t number = place >= 0 ? census->known[place] : 0;
    if (number == 0 && sg_type_name(message, census->rule, name))
        number = census_number(census, name);
    if (place >= 0)
        census->known[place] = number;
    census->count[number]++;
    return number;
}

int sg_census_size(const sg_census *census)
{
    return census->size;
}

const char *sg_census_name(const sg_census *census, int number)
{
    return number >= 1 && number <= census->size ? census->text[number - 1] : "";
}

uint64_t sg_census_count(const sg_census *census, int number)
{
    return number >= 0 && number <= census->size ? census->count[number] : 0;
}
