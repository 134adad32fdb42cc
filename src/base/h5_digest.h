/* h5_digest.h: the digest in front of an HDF5 file, so that damage is seen before libhdf5 parses it.
 *
 * It stands in a user block: 512 bytes that HDF5 leaves to the application, so that every HDF5 tool reads the
 * file.  Offset 0: magic 89 53 49 50 48 0d 0a 1a; 8: how many bytes follow the block, 64 bits, little-endian;
 * 16: XXH3-128 of those bytes, big-endian, as `xxh128sum` prints it; 32 to 511: zeros.  Every bit of a file
 * is covered: by the digest, or by being fixed.
 */
#ifndef SG_BASE_H5_DIGEST_H
#define SG_BASE_H5_DIGEST_H

#include "base/status.h"
#include <stdint.h>

enum { SG_H5_DIGEST_BLOCK = 512, SG_H5_START = 8 };

/* Whether a file whose first bytes these are is HDF5, with a digest or without. */
bool sg_h5_is_start(const void *start);

/* The block that goes before `bytes` bytes of `data`. */
void sg_h5_digest_make(uint8_t block[SG_H5_DIGEST_BLOCK], const void *data, size_t bytes);

/* Reads a file with a digest whole and checks it: *image of *bytes bytes, the block included; release with
 * free().  A mismatch, bytes too many or too few: SG_E_FORMAT, and the message says "damaged".  *image is
 * NULL for a file that has no digest (HDF5 from its first byte, or no HDF5 file). */
sg_status sg_h5_digest_read(const char *path, void **image, size_t *bytes);

#endif
