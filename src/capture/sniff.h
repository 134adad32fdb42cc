/* sniff.h: whether bytes may begin a SIP message, judged by the first four, so that other traffic costs
 * little.
 */
#ifndef SG_CAPTURE_SNIFF_H
#define SG_CAPTURE_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A character of a method (RFC 3261, 25.1: token) or of "SIP/". */
static inline bool sg_is_token(uint8_t c)
{
    static const uint32_t set[8] = {0, 0x03ff6ca2, 0x87fffffe, 0x47ffffff, 0, 0, 0, 0};
    return set[c >> 5] >> (c & 31) & 1;
}

/* True for what sip/frame.h should look at.  CR, LF and NUL may stand before a message. */
static inline bool sg_sniff_sip(const uint8_t *data, size_t size)
{
    if (size == 0)
        return false;
    if (data[0] == '\r' || data[0] == '\n' || data[0] == '\0')
        return true;
    if (!sg_is_token(data[0]))
        return false;
    for (size_t i = 1; i < 4 && i < size; i++)
        if (!sg_is_token(data[i]) && data[i] != ' ' && data[i] != '/')
            return false;
    return true;
}

#endif
