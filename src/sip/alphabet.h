/* alphabet.h: which message types a corpus or model tells apart.
 *
 * A rule says what makes a type, an alphabet which of the types have an id of their own:
 *   paper/1   requests by method, responses by their three digits: INVITE, 200
 *   cseq/1    the same, responses with the method they answer: INVITE, 200-INVITE
 * Ids are 1..M in the order of the names; 0 is for what the alphabet cannot express.  A type that has no name
 * folds to a name for its class, if the alphabet holds one:
 *   OTHER-method                      a request
 *   1xx-other, 2xx-other .. 6xx-other a response
 *   OTHER                             whatever is left
 * Methods are case-sensitive (RFC 3261, 7.1), names of more than SG_TYPE_NAME - 1 bytes are nobody's.
 */
#ifndef SG_SIP_ALPHABET_H
#define SG_SIP_ALPHABET_H

#include "base/status.h"
#include "sip/message.h"

typedef enum { SG_RULE_PAPER, SG_RULE_CSEQ, SG_RULES } sg_type_rule;

enum { SG_TYPE_NAME = 33, SG_TYPES_MAX = 65535 };

/* "paper/1" or "cseq/1", as files keep it. */
const char *sg_type_rule_name(sg_type_rule rule);

/* The rule of "paper", "paper/1", "cseq" or "cseq/1"; false if it is none of them. */
bool sg_type_rule_parse(const char *text, sg_type_rule *rule);

/* The name of a message's type under a rule; false (and "") if it has none: a code that is not three digits,
 * a method longer than fits, a response without a method under cseq. */
bool sg_type_name(const sg_sip_message *message, sg_type_rule rule, char name[SG_TYPE_NAME]);

/* What became of messages; kept by the caller, so that an alphabet can be shared between threads. */
typedef struct {
    uint64_t exact;         /* had an id of their own */
    uint64_t folded_method; /* to OTHER-method */
    uint64_t folded_class;  /* to 1xx-other .. 6xx-other */
    uint64_t folded_other;  /* to OTHER */
    uint64_t unknown;       /* 0 */
} sg_fold_counts;

/* Immutable once built; safe to share between threads. */
typedef struct sg_alphabet sg_alphabet;

/* The alphabet with these names in this order (copied).  SG_E_FORMAT for an empty or over-long name, for one
 * twice, for none and for more than SG_TYPES_MAX. */
sg_status sg_alphabet_open(sg_alphabet **alphabet, sg_type_rule rule, const char *const *names, int count);
void sg_alphabet_close(sg_alphabet *alphabet); /* NULL is fine */

/* The id of a message's type, 0..M.  counts may be NULL. */
uint16_t sg_alphabet_id(const sg_alphabet *alphabet, const sg_sip_message *message, sg_fold_counts *counts);

/* The id of a type by its name ("200", "200-INVITE", "FOO"), folded likewise; for types from a census. */
uint16_t sg_alphabet_id_of_name(const sg_alphabet *alphabet, const char *name);

int sg_alphabet_size(const sg_alphabet *alphabet); /* M */
sg_type_rule sg_alphabet_rule(const sg_alphabet *alphabet);

/* The name of id 1..M, "?" for others. */
const char *sg_alphabet_name(const sg_alphabet *alphabet, int id);

/* ---- A census: every type met, numbered 1..K in order of first appearance, with its count ---- */

typedef struct sg_census sg_census;

/* At most `types_max` types are told apart (1..SG_TYPES_MAX); number 0 is for those beyond and for the
 * nameless, so that nobody on the wire decides how much memory is used. */
sg_status sg_census_open(sg_census **census, sg_type_rule rule, int types_max);
void sg_census_close(sg_census *census); /* NULL is fine */

/* Counts a message; its type's number, 0..K. */
uint16_t sg_census_add(sg_census *census, const sg_sip_message *message);

int sg_census_size(const sg_census *census);                     /* K */
const char *sg_census_name(const sg_census *census, int number); /* "" for 0 */
uint64_t sg_census_count(const sg_census *census, int number);   /* messages; 0: those without a number */

#endif
