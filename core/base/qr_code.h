/* SPDX-License-Identifier: BSD-3-Clause
 * qr_code.h - a QR code of a short text, for a terminal
 *
 * Byte mode, error correction level M, versions 1 to 10: what the address of a
 * login page needs. libqrencode does more, but would be one more library in
 * every program that a node lives in. Source: ISO/IEC 18004.
 */
#ifndef CORE_BASE_QR_CODE_H
#define CORE_BASE_QR_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_QR_TEXT_MAX = 213, TS_QR_SIZE_MAX = 57, TS_QR_MARGIN = 4 };

struct ts_qr {
	int size; /* modules on each side, without the margin */
	bool dark[TS_QR_SIZE_MAX][TS_QR_SIZE_MAX]; /* [y][x] */
};

/* 0, or -EMSGSIZE: more than TS_QR_TEXT_MAX bytes. */
int ts_qr_encode(const char *text, struct ts_qr *out);

/* Lines for a terminal with light letters on dark ground: blocks of UTF-8 that
 * stand for two modules each, or two "#" for one module. fn gets each line. */
enum { TS_QR_LINE_CAP = 3 * (TS_QR_SIZE_MAX + 2 * TS_QR_MARGIN) + 1 };
void ts_qr_draw(const struct ts_qr *qr, bool has_utf8,
		void (*fn)(void *ctx, const char *line), void *ctx);

#endif
