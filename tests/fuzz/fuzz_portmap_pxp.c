/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_portmap_pxp.c - NAT-PMP and PCP responses
 */
#include "core/path/portmap_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_pxp_response r;

	ts_pxp_read_response(data, len, &r);
	return 0;
}
