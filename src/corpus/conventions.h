/* conventions.h: root attributes that corpora and models share and on which training and detection must
 * agree: type_rule says what makes a message type (sip/alphabet.h), retransmissions whether copies are left
 * out.
 */
#ifndef SG_CORPUS_CONVENTIONS_H
#define SG_CORPUS_CONVENTIONS_H

#include "base/h5.h"

/* "paper/1" and false where a file does not say; SG_E_FORMAT for unknown values. */
sg_status sg_conventions_read(const sg_h5 *file, char rule[16], bool *collapsed);

/* An empty rule is "paper/1". */
sg_status sg_conventions_write(sg_h5 *file, const char *rule, bool collapsed);

#endif
