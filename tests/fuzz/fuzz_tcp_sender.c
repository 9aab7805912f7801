/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_tcp_sender.c - ACKs and SACK blocks of any kind, at any time
 *
 * The orders and what must hold are those of tests/unit/netstack/sender_model.h.
 */
#include "tests/unit/netstack/sender_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ts_reader r = ts_reader_init(data, size);

	if (size >= 5 && size <= 4096)
		model_run(&r);
	return 0;
}
