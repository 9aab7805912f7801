// SPDX-License-Identifier: BSD-3-Clause
// Fifty requests at once by java.net.http.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;

public class Client {
	public static void main(String[] args) throws Exception {
		HttpClient client = HttpClient.newHttpClient();
		HttpRequest request = HttpRequest.newBuilder(
			URI.create("http://" + args[0] + ":8080/")).build();
		List<CompletableFuture<String>> all = new ArrayList<>();
		for (int i = 0; i < 50; i++)
			all.add(client.sendAsync(request,
				HttpResponse.BodyHandlers.ofString())
				.thenApply(r -> r.body().trim()));
		TreeSet<String> pages = new TreeSet<>();
		for (CompletableFuture<String> one : all)
			pages.add(one.get());
		System.out.println(all.size() + " " + pages);
	}
}
