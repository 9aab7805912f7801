/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_disco.c - disco messages as they are once their box has opened, and
 * the sorting of datagrams; what reads must write and read the same again
 */
#include <stdlib.h>
#include <string.h>

#include "core/path/disco_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t first[DISCO_WRITE_PAYLOAD_CAP], second[sizeof(first)];
	struct ts_writer w1 = ts_writer_init(first, sizeof(first));
	struct ts_writer w2 = ts_writer_init(second, sizeof(second));
	struct ts_reader r = ts_reader_init(data, len);
	struct ts_disco_message msg;
	struct ts_geneve geneve;

	ts_datagram_kind(data, len);
	if (ts_disco_is_packet(data, len)) {
		struct ts_public_key sender;

		ts_disco_read_sender(data, &sender);
	}
	ts_geneve_read(&r, &geneve);
	if (ts_disco_read(data, len, &msg) != 0)
		return 0;
	if (ts_disco_write(&w1, &msg) != 0 ||
	    ts_disco_read(first, w1.len, &msg) != 0 ||
	    ts_disco_write(&w2, &msg) != 0 || w1.len != w2.len ||
	    memcmp(first, second, w1.len) != 0)
		abort();
	return 0;
}
