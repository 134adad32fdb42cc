#include "capture/live.h"

#include "base/memory.h"
#include "capture/filter.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPLEN = 65535 };

struct sg_live {
    pcap_t *pcap;
    int link, fd;
    char name[64];
};

/* "lo, eth0, any" into text. */
static void list_interfaces(char *text, size_t size)
{
    char unused[PCAP_ERRBUF_SIZE];
    pcap_if_t *all = NULL;
    text[0] = '\0';
    if (pcap_findalldevs(&all, unused) != 0)
        return;
    size_t used = 0;
    for (pcap_if_t *one = all; one && used + 24 < size; one = one->next)
        used += (size_t)snprintf(text + used, size - used, "%s%.20s", used ? ", " : "", one->name);
    pcap_freealldevs(all);
}

static sg_status activation_fault(const sg_live *live, int result)
{
    char known[256];
    switch (result) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        list_interfaces(known, sizeof known);
        return sg_fail(SG_E_IO, "no interface '%s'%s%s", live->name, known[0] ? "; there are: " : "", known);
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        return sg_fail(SG_E_IO,
                       "no permission to capture on '%s': run as root or grant the capability "
                       "(setcap cap_net_raw+ep)",
                       live->name);
    case PCAP_ERROR_IFACE_NOT_UP:
        return sg_fail(SG_E_IO, "the interface '%s' is down", live->name);
    default:
        return sg_fail(SG_E_IO, "cannot capture on '%s': %s (%s)", live->name, pcap_statustostr(result),
                       pcap_geterr(live->pcap));
    }
}

static sg_status activate(sg_live *live, bool promiscuous, int buffer_mib)
{
    /* "any" cannot be promiscuous; libpcap says so with a warning, not an error. */
    pcap_set_snaplen(live->pcap, SNAPLEN);
    pcap_set_promisc(live->pcap, promiscuous);
    pcap_set_immediate_mode(live->pcap, 1);
    pcap_set_buffer_size(live->pcap, buffer_mib << 20);
    int result = pcap_activate(live->pcap);
    if (result < 0)
        return activation_fault(live, result);
    char text[PCAP_ERRBUF_SIZE] = "";
    if (pcap_setnonblock(live->pcap, 1, text) != 0)
        return sg_fail(SG_E_IO, "cannot capture on '%s': %s", live->name, text);
    live->link = sg_link_of_dlt(pcap_datalink(live->pcap));
    live->fd = pcap_get_selectable_fd(live->pcap);
    return SG_OK;
}

static sg_status set_filter(sg_live *live, const char *filter)
{
    struct bpf_program program;
    if (!filter || !*filter)
        return SG_OK;
    SG_TRY(sg_filter_compile(&program, live->pcap, filter));
    int result = pcap_setfilter(live->pcap, &program);
    pcap_freecode(&program);
    if (result != 0)
        return sg_fail(SG_E_IO, "cannot set the filter '%s' on '%s': %s", filter, live->name,
                       pcap_geterr(live->pcap));
    return SG_OK;
}

sg_status sg_live_open(sg_live **out, const char *interface, const char *filter, bool promiscuous,
                       int buffer_mib)
{
    sg_live *live;
    char text[PCAP_ERRBUF_SIZE] = "";
    *out = NULL;
    SG_TRY(sg_alloc(&live, 1, "the interface"));
    strncpy(live->name, interface, sizeof live->name - 1);
    sg_status status;
    live->pcap = pcap_create(interface, text);
    if (!live->pcap) {
        status = sg_fail(SG_E_IO, "cannot capture on '%s': %s", live->name, text);
        goto fail;
    }
    SG_TRY_GOTO(status, fail, activate(live, promiscuous, buffer_mib));
    SG_TRY_GOTO(status, fail, set_filter(live, filter));
    *out = live;
    return SG_OK;
fail:
    sg_live_close(live);
    return status;
}

void sg_live_close(sg_live *live)
{
    if (!live)
        return;
    if (live->pcap)
        pcap_close(live->pcap);
    free(live);
}

int sg_live_fd(const sg_live *live)
{
    return live->fd;
}

sg_status sg_live_next(sg_live *live, sg_read *read, sg_packet *packet)
{
    struct pcap_pkthdr *header;
    const uint8_t *data;
    int result = pcap_next_ex(live->pcap, &header, &data);
    *read = SG_READ_NOTHING;
    if (result < 0)
        return sg_fail(SG_E_IO, "the interface '%s' stopped: %s", live->name, pcap_geterr(live->pcap));
    if (result != 1)
        return SG_OK;
    *packet = (sg_packet){.data = data,
                          .captured = header->caplen,
                          .length = header->len,
                          .link = live->link,
                          .time_us = (int64_t)header->ts.tv_sec * 1000000 + header->ts.tv_usec};
    *read = SG_READ_PACKET;
    return SG_OK;
}

uint64_t sg_live_drops(const sg_live *live)
{
    struct pcap_stat statistics;
    if (pcap_stats(live->pcap, &statistics) != 0)
        return 0;
    return (uint64_t)statistics.ps_drop + statistics.ps_ifdrop;
}
