/* filter.h: the parts of libpcap that files and the interface share. */
#ifndef SG_CAPTURE_FILTER_H
#define SG_CAPTURE_FILTER_H

#include "base/status.h"
#include <pcap/pcap.h>
#include <stdint.h>

/* Compiles `filter` for packets of `pcap`; SG_E_USAGE with libpcap's message.  Release with pcap_freecode.
 */
sg_status sg_filter_compile(struct bpf_program *program, pcap_t *pcap, const char *filter);

/* The LINKTYPE_ number of a DLT_ number: they differ where systems disagree about the latter. */
int sg_link_of_dlt(int dlt);

/* Seconds and a fraction of them (`per_second` of which make one) as microseconds; *bad is set, and the
 * fraction cut, if it is a second or more. */
int64_t sg_time_us(uint32_t seconds, uint32_t fraction, uint32_t per_second, bool *bad);

#endif
