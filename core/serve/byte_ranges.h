/* SPDX-License-Identifier: BSD-3-Clause
 * byte_ranges.h - the parts of a file that a client asks for
 *
 * One range is an answer of its own; several are the parts of one
 * multipart/byteranges. What asks for more bytes than there are, or for very
 * many parts, gets the whole instead. No I/O.
 * Source: RFC 9110 section 14, net/http/fs.go (parseRange)
 */
#ifndef CORE_SERVE_BYTE_RANGES_H
#define CORE_SERVE_BYTE_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/http1.h"

enum {
	TS_BYTE_RANGES_MAX = 64,
	TS_BYTE_RANGE_TEXT_CAP = 80,
	TS_BYTE_RANGES_PART_CAP = 320,
	TS_BYTE_RANGES_BOUNDARY_CAP = 33,
};

struct ts_byte_range {
	uint64_t first, len;
};

struct ts_byte_ranges {
	struct ts_byte_range list[TS_BYTE_RANGES_MAX];
	size_t count; /* 0: the whole */
	uint64_t size; /* of the file */
};

/* field: Range, or NULL. 206: out has them; 200: the whole; 416: none of them
 * is in there. */
int ts_byte_ranges_read(const struct ts_http1_field *field, uint64_t size,
			struct ts_byte_ranges *out);
/* As Content-Range has it. */
void ts_byte_range_text(const struct ts_byte_range *range, uint64_t size,
			char out[static TS_BYTE_RANGE_TEXT_CAP]);

/* What comes before range i in a multipart, or (i the count) after the last
 * one; its length. type: of the file, at most 100 bytes. */
size_t ts_byte_ranges_part(const struct ts_byte_ranges *ranges, size_t i,
			   const char *boundary, const char *type,
			   char out[static TS_BYTE_RANGES_PART_CAP]);
/* The multipart's length. */
uint64_t ts_byte_ranges_length(const struct ts_byte_ranges *ranges,
			       const char *boundary, const char *type);

#endif
