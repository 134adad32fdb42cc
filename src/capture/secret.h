/* secret.h: a keyed hash, so that an attacker cannot choose packets whose keys fall into one bucket. */
#ifndef SG_CAPTURE_SECRET_H
#define SG_CAPTURE_SECRET_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t bytes[192];
} sg_secret;

/* From the system's random numbers. */
void sg_secret_make(sg_secret *secret);

uint64_t sg_secret_hash(const sg_secret *secret, const void *data, size_t size);

#endif
