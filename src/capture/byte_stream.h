/* byte_stream.h: the bytes of a file or pipe, decompressed if they are gzip, a window at a time.
 *
 * Plain read() into a buffer that stays in the second-level cache is as fast as a mapped file, and does not
 * crash if the file shrinks while it is read.
 */
#ifndef SG_CAPTURE_BYTE_STREAM_H
#define SG_CAPTURE_BYTE_STREAM_H

#include "base/status.h"
#include <stdint.h>

typedef struct sg_byte_stream sg_byte_stream;

enum { SG_BYTE_WINDOW = 1 << 19 };

/* Opens a file, or standard input for "-", which is called "standard input" in messages. */
sg_status sg_byte_stream_open(sg_byte_stream **stream, const char *path);
void sg_byte_stream_close(sg_byte_stream *stream); /* NULL is fine */

const char *sg_byte_stream_name(const sg_byte_stream *stream);

/* Makes `need` bytes (at most SG_BYTE_WINDOW) readable at *data; *available is smaller only at the end, or
 * when a pipe has given nothing for `timeout_ms` (-1: waits), which sets *waiting.  SG_E_IO, SG_E_FORMAT for
 * damaged gzip. */
sg_status sg_byte_stream_peek(sg_byte_stream *stream, size_t need, int timeout_ms, const uint8_t **data,
                              size_t *available, bool *waiting);

/* Skips bytes that peek has returned. */
void sg_byte_stream_skip(sg_byte_stream *stream, size_t count);

/* Whether the compressed data ended before their end mark. */
bool sg_byte_stream_cut(const sg_byte_stream *stream);

#endif
