#include "capture/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool read_number(const char *text, long max, long *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && *value <= max;
}

static bool set_ip(struct sockaddr_storage *to, socklen_t *size, const char *host, uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        *size = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        *size = sizeof *six;
        return true;
    }
    return false;
}

sg_status sg_listen_address_read(sg_listen_address *listen, const char *text)
{
    char host[64] = "0.0.0.0";
    long port;
    const char *colon = strrchr(text, ':');
    memset(listen, 0, sizeof *listen);
    listen->tcp = strncmp(text, "tcp:", 4) == 0;
    if ((listen->tcp || strncmp(text, "udp:", 4) == 0) && read_number(colon + 1, 65535, &port)) {
        const char *rest = text + 4;
        size_t length = colon > rest ? (size_t)(colon - rest) : 0;
        bool brackets = length >= 2 && rest[0] == '[' && rest[length - 1] == ']';
        if (brackets)
            rest++, length -= 2;
        if (length < sizeof host && (length == 0 || brackets || !memchr(rest, ':', length))) {
            if (length > 0) {
                memcpy(host, rest, length);
                host[length] = '\0';
            }
            if (set_ip(&listen->address, &listen->size, host, (uint16_t)port))
                return SG_OK;
        }
    }
    return sg_fail(
        SG_E_USAGE,
        "'%s' is not an address to listen on: write udp:ADDRESS:PORT or tcp:ADDRESS:PORT with a numeric "
        "address, IPv6 in brackets",
        text);
}

sg_status sg_network_read(sg_network *network, const char *text)
{
    char host[64];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    memset(network, 0, sizeof *network);
    if (length < sizeof host) {
        memcpy(host, text, length);
        host[length] = '\0';
        if (inet_pton(AF_INET, host, network->address) == 1)
            network->family = 4;
        else if (inet_pton(AF_INET6, host, network->address) == 1)
            network->family = 6;
    }
    long bits = network->family == 4 ? 32 : 128;
    if (!network->family || (slash && !read_number(slash + 1, bits, &bits)))
        return sg_fail(SG_E_USAGE,
                       "'%s' is not a network: write an address or ADDRESS/BITS, such as 192.0.2.0/24", text);
    network->bits = (unsigned)bits;
    return SG_OK;
}

static bool holds(const sg_network *network, uint8_t family, const uint8_t *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (network->family != family || memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || ((network->address[whole] ^ address[whole]) & (0xff00u >> rest) & 0xff) == 0;
}

bool sg_networks_hold(const sg_network *networks, size_t count, const struct sockaddr *address)
{
    uint8_t family = 4;
    const uint8_t *bytes;
    if (count == 0)
        return true;
    if (address->sa_family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        bytes = (const uint8_t *)&((const struct sockaddr_in6 *)address)->sin6_addr;
        family = memcmp(bytes, mapped, 12) == 0 ? 4 : 6;
        bytes += family == 4 ? 12 : 0;
    } else {
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (holds(&networks[i], family, bytes))
            return true;
    return false;
}

bool sg_networks_hold_endpoint(const sg_network *networks, size_t count, const sg_endpoint *endpoint)
{
    for (size_t i = 0; i < count; i++)
        if (holds(&networks[i], endpoint->family, endpoint->address))
            return true;
    return false;
}
