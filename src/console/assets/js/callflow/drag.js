// Drag and drop of blocks: what is carried, and where it may be put down.

/** What is under way: `{ module }` from the catalogue, or `{ uid }` of a block. A page may not look into a drag
 *  before it ends, so it is kept here. */
let carried = null;

/** Lets an element be dragged. */
export function carry(element, what) {
  element.addEventListener("dragstart", (event) => {
    carried = what();
    event.dataTransfer.effectAllowed = carried.uid ? "move" : "copy";
    event.dataTransfer.setData("text/plain", element.textContent);
    event.stopPropagation();
    // Not at once: a page that changes under the pointer ends the drag.
    setTimeout(() => document.body.classList.add("dragging"));
  });
  element.addEventListener("dragend", () => {
    carried = null;
    document.body.classList.remove("dragging");
  });
}

/** Lets blocks be dropped on an element: they go to `place()`. */
export function accept(element, editor, place) {
  const over = (event) => {
    if (!carried || !editor.takes(carried, place())) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = carried.uid ? "move" : "copy";
    element.classList.add("over");
  };
  element.addEventListener("dragenter", over);
  element.addEventListener("dragover", over);
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) element.classList.remove("over");
  });
  element.addEventListener("drop", (event) => {
    if (!carried) return;
    event.preventDefault();
    const { uid, module } = carried;
    // The drawing that the drag began in may be gone before it is told of its end.
    carried = null;
    document.body.classList.remove("dragging");
    if (uid) editor.move(uid, place());
    else editor.add(module, place());
  });
}
