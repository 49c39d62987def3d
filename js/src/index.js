// The widget. anywidget gives `initialize` and `render` different proxies of one model, so what they share is kept here, in
// a closure, and not by model.

import { Stream } from "./stream.js";

export default () => {
  let stream;
  return {
    initialize({ model }) {
      stream = new Stream(model);
      return () => stream.dispose();
    },
    render({ el }) {
      return stream.show(el);
    },
  };
};
