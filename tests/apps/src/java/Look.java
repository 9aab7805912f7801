// SPDX-License-Identifier: BSD-3-Clause
// An address by Java's own way to ask for names.
import java.net.Inet4Address;
import java.net.InetAddress;

public class Look {
	public static void main(String[] args) throws Exception {
		for (InetAddress address : InetAddress.getAllByName(args[0]))
			if (address instanceof Inet4Address)
				System.out.println(address.getHostAddress());
	}
}
