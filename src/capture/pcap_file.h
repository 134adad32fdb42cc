/* pcap_file.h: packets of a capture file.
 *
 * Plain pcap (version 2.4, either byte order, microseconds or nanoseconds) is read here, fast and with every
 * length checked; pcapng and old variants by libpcap.  Both may be gzipped and come from a pipe.
 */
#ifndef SG_CAPTURE_PCAP_FILE_H
#define SG_CAPTURE_PCAP_FILE_H

#include "base/status.h"
#include "capture/counts.h"
#include "capture/packet.h"

typedef struct sg_pcap_file sg_pcap_file;

/* Opens the file and reads its header; `filter` (NULL: none) is a BPF expression.  SG_E_IO, SG_E_FORMAT if it
 * is not a capture, SG_E_USAGE for a bad filter.  `counts` must outlive the file. */
sg_status sg_pcap_file_open(sg_pcap_file **file, const char *path, const char *filter, sg_counts *counts);
void sg_pcap_file_close(sg_pcap_file *file); /* NULL is fine */

const char *sg_pcap_file_name(const sg_pcap_file *file);

/* The next packet, valid until the next call; SG_READ_NOTHING if a pipe has none within `timeout_ms` (-1:
 * waits).  A last record that is cut short is counted; SG_E_FORMAT names the packet at which the file is
 * damaged. */
sg_status sg_pcap_file_next(sg_pcap_file *file, int timeout_ms, sg_read *read, sg_packet *packet);

#endif
