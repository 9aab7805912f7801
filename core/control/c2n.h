/* SPDX-License-Identifier: BSD-3-Clause
 * c2n.h - requests of the control server to this node
 * Source: PROTOCOL 4.6; ipn/ipnlocal/c2n.go
 */
#ifndef CORE_CONTROL_C2N_H
#define CORE_CONTROL_C2N_H

#include <stddef.h>
#include <stdint.h>

/* request: the text of an HTTP/1.x request. *out gets the complete response
 * text (heap). 0, -EBADMSG (no request), -EMSGSIZE, -ENOMEM. */
int ts_c2n_answer(const uint8_t *request, size_t len, char **out,
		  size_t *out_len);

#endif
