#include "capture/filter.h"

#include "capture/packet.h"

sg_status sg_filter_compile(struct bpf_program *program, pcap_t *pcap, const char *filter)
{
    if (pcap_compile(pcap, program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0)
        return sg_fail(SG_E_USAGE, "bad filter '%s': %s", filter, pcap_geterr(pcap));
    return SG_OK;
}

int sg_link_of_dlt(int dlt)
{
    /* 12 and 14 are DLT_RAW on Linux and OpenBSD, and some writers put them into files as they are. */
    return dlt == 12 || dlt == 14 ? SG_LINK_RAW : dlt;
}

int64_t sg_time_us(uint32_t seconds, uint32_t fraction, uint32_t per_second, bool *bad)
{
    *bad = fraction >= per_second;
    if (*bad)
        fraction = per_second - 1;
    return (int64_t)seconds * 1000000 + (per_second == 1000000 ? fraction : fraction / 1000);
}
