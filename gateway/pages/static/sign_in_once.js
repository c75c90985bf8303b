// An address with a token signs in once. The token stands after the #, which no browser sends and no server logs.

const form = document.querySelector("main form");
form.elements.once.value = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
// Whoever comes by a link of another site is asked first, so that nobody is signed in unawares.
if (form.elements.once.value && "atOnce" in form.dataset) form.submit();
