/* SPDX-License-Identifier: BSD-3-Clause
 * drop_block.h - which part of a file is there already
 *
 * Who has received a part of a file says so by a line of JSON with a checksum
 * for each block of it; who sends it goes on behind the last block that is
 * the same, with "Range: bytes=N-".
 * Source: feature/taildrop/resume.go, util/httphdr/httphdr.go
 */
#ifndef CORE_DROP_DROP_BLOCK_H
#define CORE_DROP_DROP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TS_DROP_BLOCK_MAX = 64 * 1024,
	TS_DROP_SUM_LEN = 32,
	TS_DROP_LINE_CAP = 160,
};

struct ts_drop_block {
	uint8_t sum[TS_DROP_SUM_LEN];
	size_t len;
};

/* Of data, with its newline; its length. */
size_t ts_drop_block_format(const void *data, size_t len,
			    char out[static TS_DROP_LINE_CAP]);
/* 0, -EBADMSG (also: another checksum, or a longer block). */
int ts_drop_block_parse(const char *line, size_t len,
			struct ts_drop_block *out);
bool ts_drop_block_is(const struct ts_drop_block *block, const void *data,
		      size_t len);

/* The value of a Range header: where the file goes on. 0, -EBADMSG. */
int ts_drop_range_parse(const char *text, size_t len, uint64_t *out);

#endif
