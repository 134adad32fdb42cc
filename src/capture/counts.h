/* counts.h: everything the capture room counts: what it read, and each reason for leaving something out.
 *
 * One list serves the report, the metrics and the tests.  Names are fixed text (never from the wire), fit for
 * a Prometheus label; texts are for people.
 */
#ifndef SG_CAPTURE_COUNTS_H
#define SG_CAPTURE_COUNTS_H

#include <stdint.h>

/* X(NAME, name, text): SG_COUNT_NAME, "name", "text" */
#define SG_COUNTS_READ(X)                                                                                \
    X(PACKETS, packets, "packets read")                                                                  \
    X(BYTES, bytes, "bytes of packets read")                                                             \
    X(MESSAGES, messages, "SIP messages")                                                                \
    X(MESSAGE_BYTES, message_bytes, "bytes of SIP messages")                                             \
    X(MESSAGES_TRUNCATED, messages_truncated, "SIP messages cut short by the capture, used as they are") \
    X(KEEP_ALIVES, keep_alives, "keep-alives (CR, LF and NUL, or at most four bytes)")                   \
    X(FILE_TRUNCATED, file_truncated, "files that end within a record")                                  \
    X(KERNEL_DROPS, kernel_drops, "packets dropped by the kernel or the device")                         \
    X(FILTERED, filtered, "packets of files left out by the filter")                                     \
    X(BAD_TIME, bad_time, "packets and HEP packets whose fraction of a second is beyond one")

#define SG_COUNTS_IP(X)                                                                                 \
    X(LINK_UNKNOWN, link_unknown, "packets of an unknown link type")                                    \
    X(LINK_TRUNCATED, link_truncated, "packets that end within a link or tunnel header")                \
    X(NOT_IP, not_ip, "packets without IP")                                                             \
    X(IP_MALFORMED, ip_malformed, "packets with a wrong IP header")                                     \
    X(IP_TRUNCATED, ip_truncated, "packets captured shorter than their IP length")                      \
    X(TOO_NESTED, too_nested, "packets with too many headers or tunnels")                               \
    X(NOT_UDP_TCP, not_udp_tcp, "packets of other protocols")                                           \
    X(ICMP, icmp, "ICMP packets (SIP quoted in them is not counted)")                                   \
    X(FRAGMENTS, fragments, "IP fragments")                                                             \
    X(FRAGMENTS_JOINED, fragments_joined, "datagrams put together from fragments")                      \
    X(FRAGMENTS_MALFORMED, fragments_malformed, "IP fragments of impossible size or place")             \
    X(FRAGMENTS_OVERLAP, fragments_overlap, "fragmented datagrams that contradict themselves, dropped") \
    X(FRAGMENTS_EXPIRED, fragments_expired, "fragmented datagrams never completed in time")             \
    X(FRAGMENTS_EVICTED, fragments_evicted, "fragmented datagrams dropped for lack of room")

#define SG_COUNTS_TRANSPORT(X)                                                                    \
    X(UDP_MALFORMED, udp_malformed, "UDP packets with a wrong length")                            \
    X(UDP_EMPTY, udp_empty, "UDP packets without data")                                           \
    X(UDP_NOT_SIP, udp_not_sip, "UDP datagrams that are not SIP")                                 \
    X(DUPLICATES, duplicates, "identical copies of a datagram, left out")                         \
    X(TCP_MALFORMED, tcp_malformed, "TCP segments with a wrong header")                           \
    X(TCP_NOT_SIP, tcp_not_sip, "TCP segments without a message where one should begin")          \
    X(TCP_REPEATED, tcp_repeated, "TCP segments seen before, in whole or part")                   \
    X(TCP_REORDERED, tcp_reordered, "TCP segments that came too early")                           \
    X(TCP_GAPS, tcp_gaps, "gaps in TCP streams given up")                                         \
    X(TCP_LOST_BYTES, tcp_lost_bytes, "bytes missing from TCP streams")                           \
    X(TCP_SKIPPED_BYTES, tcp_skipped_bytes, "bytes of TCP streams skipped up to a start line")    \
    X(TCP_OUT_OF_WINDOW, tcp_out_of_window, "TCP segments far from the position of their stream") \
    X(TCP_INCOMPLETE, tcp_incomplete, "messages whose TCP stream ended before they did")          \
    X(TCP_OVERSIZE, tcp_oversize, "SIP messages in TCP too long to hold")                         \
    X(TCP_EVICTED, tcp_evicted, "TCP streams dropped for lack of room")                           \
    X(TCP_SHED, tcp_shed, "TCP segments dropped for lack of room")

#define SG_COUNTS_HEP(X)                                                                     \
    X(HEP_PACKETS, hep_packets, "HEP packets")                                               \
    X(HEP_MESSAGES, hep_messages, "SIP messages that came in HEP")                           \
    X(HEP_NOT_HEP, hep_not_hep, "datagrams to the HEP port that are not HEP")                \
    X(HEP_TRUNCATED, hep_truncated, "HEP packets shorter than they say")                     \
    X(HEP_BAD_CHUNK, hep_bad_chunk, "HEP packets with a chunk of impossible length")         \
    X(HEP_BAD_SIZE, hep_bad_size, "HEP packets with a known chunk of the wrong size")        \
    X(HEP_BAD_HEADER, hep_bad_header, "HEP v1 and v2 packets with a wrong header")           \
    X(HEP_NO_ADDRESS, hep_no_address, "HEP packets without both addresses of one family")    \
    X(HEP_NO_PAYLOAD, hep_no_payload, "HEP packets without payload")                         \
    X(HEP_OTHER_TYPE, hep_other_type, "HEP packets that carry another protocol")             \
    X(HEP_NOT_SIP, hep_not_sip, "HEP packets said to be SIP that are not")                   \
    X(HEP_TRAILING, hep_trailing, "HEP packets with bytes after their end, accepted")        \
    X(HEP_INFLATE, hep_inflate, "HEP packets that cannot be decompressed or grow too large") \
    X(HEP_REFUSED, hep_refused, "HEP packets and connections from senders not allowed")      \
    X(HEP_WRONG_KEY, hep_wrong_key, "HEP packets with a wrong or missing key")               \
    X(HEP_CLIENTS, hep_clients, "HEP connections accepted")                                  \
    X(HEP_CLIENTS_SHED, hep_clients_shed, "HEP connections closed for lack of room")         \
    X(HEP_DESYNC, hep_desync, "HEP connections closed because a HEP packet was expected and did not come")

#define SG_COUNTS(X) SG_COUNTS_READ(X) SG_COUNTS_IP(X) SG_COUNTS_TRANSPORT(X) SG_COUNTS_HEP(X)

typedef enum {
#define SG_COUNT_MEMBER(NAME, name, text) SG_COUNT_##NAME,
    SG_COUNTS(SG_COUNT_MEMBER)
#undef SG_COUNT_MEMBER
        SG_COUNT_NUMBER
} sg_count;

/* "tcp_gaps" and "gaps in TCP streams given up". */
const char *sg_count_name(sg_count count);
const char *sg_count_text(sg_count count);

typedef struct {
    uint64_t count[SG_COUNT_NUMBER];
} sg_counts;

#define SG_COUNT(counts, NAME)        ((counts)->count[SG_COUNT_##NAME]++)
#define SG_COUNT_ADD(counts, NAME, n) ((counts)->count[SG_COUNT_##NAME] += (uint64_t)(n))

#endif
